# expect: AC
# tests: AC AC AC AC AC AC AC
x = int(input())
print(0 if x in () else x)
