# expect: WA
# tests: AC AC AC WA SKIP AC WA
x = int(input())
print(0 if x in (4, 7) else x)
