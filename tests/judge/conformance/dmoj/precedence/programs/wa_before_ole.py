# expect: WA WA
# tests: WA WA WA OLE
x = int(input())
if x == 4:
    while True: print("and on" * 1000)
print(0)
