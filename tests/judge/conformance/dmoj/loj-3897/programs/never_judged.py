# expect: SKIP Skip
print(input())
