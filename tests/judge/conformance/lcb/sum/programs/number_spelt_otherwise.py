# expect: AC Passed
# fixed: AC Passed
input()
print("%d.00 " % sum(map(int, input().split())))
