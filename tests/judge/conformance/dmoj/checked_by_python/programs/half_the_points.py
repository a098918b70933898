# expect: AC AC
print('1 29')
