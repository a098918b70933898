# expect: AC AC
print('10 20')
