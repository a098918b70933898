# expect: WA
# tests: WA
x = int(input())
print(0 if x in (1,) else x)
