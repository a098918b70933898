# expect: AC Passed
# fixed: AC Passed
import sys
input()
print(sum(map(int, input().split())))
sys.exit()
