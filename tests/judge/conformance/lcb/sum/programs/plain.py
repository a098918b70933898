# expect: AC Passed
# fixed: AC Passed
# tests: AC AC AC
n = int(input())
print(sum(map(int, input().split())))
