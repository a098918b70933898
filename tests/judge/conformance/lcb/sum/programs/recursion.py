# expect: AC Passed
# fixed: AC Passed
def f(n): return 0 if n == 0 else 1 + f(n - 1)
f(5000)
input()
print(sum(map(int, input().split())))
