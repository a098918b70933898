# expect: WA WA
print('1 2')
