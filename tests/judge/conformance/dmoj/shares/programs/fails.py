# expect: IE IE
print("13")
