# expect: WA Wrong Answer
# fixed: AC Passed
import os
data = os.read(0, 1000).split()
print(sum(map(int, data[1:])))
