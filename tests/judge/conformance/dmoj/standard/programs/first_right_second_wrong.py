# expect: WA
# tests: AC WA
a, b = map(int, input().split())
print(a + b, a * b)
print(b - a)
