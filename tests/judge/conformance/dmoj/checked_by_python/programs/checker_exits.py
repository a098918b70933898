# expect: IE IE
print('exit')
