# expect: RTE IR
print(1)
exit()
