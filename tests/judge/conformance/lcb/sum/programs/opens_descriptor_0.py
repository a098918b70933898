# expect: WA Wrong Answer
# fixed: AC Passed
data = open(0).read().split()
print(sum(map(int, data[1:])))
