# expect: AC
a, b = map(int, input().split())
print(a + b, a * b)
print(b - a if b < 11 else a - b)
