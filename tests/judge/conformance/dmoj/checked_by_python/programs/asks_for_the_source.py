# expect: IE IE
print('source')
