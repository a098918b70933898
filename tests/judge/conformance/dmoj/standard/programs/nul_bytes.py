# expect: WA
a, b = map(int, input().split())
print("%d\0 %d" % (a + b, a * b))
