# expect: WA WA
print(1001)
