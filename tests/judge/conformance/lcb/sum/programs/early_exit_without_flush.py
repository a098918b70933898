# expect: RTE Runtime Error
# fixed: WA Wrong Answer
import os
input()
print(sum(map(int, input().split())))
os._exit(0)
