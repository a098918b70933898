# expect: AC Passed
# fixed: AC Passed
n = int(input())
print(reduce(add, map(int, input().split())) + comb(n, 0) - 1)
