# expect: AC Passed
# fixed: AC Passed
import sys
input = sys.stdin.readline
input()
print(sum(map(int, input().split())))
