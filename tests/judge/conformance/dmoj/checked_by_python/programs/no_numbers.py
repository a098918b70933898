# expect: WA WA
print('x')
