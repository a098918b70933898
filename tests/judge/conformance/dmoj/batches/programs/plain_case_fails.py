# expect: WA
# tests: AC WA AC AC AC AC AC
x = int(input())
print(0 if x in (2,) else x)
