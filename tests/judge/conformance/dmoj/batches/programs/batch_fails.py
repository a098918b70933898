# expect: WA
# tests: AC AC WA SKIP SKIP AC AC
x = int(input())
print(0 if x in (3,) else x)
