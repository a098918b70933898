# expect: AC Passed
# fixed: AC Passed
print(1)
