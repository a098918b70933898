# expect: TLE Time Limit Exceeded
# fixed: WA Wrong Answer
import time
time.sleep(7)
print(3)
