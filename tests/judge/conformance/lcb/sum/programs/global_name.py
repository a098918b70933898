# expect: RTE Runtime Error
# fixed: AC Passed
total = 0

def count():
    global total
    total += sum(map(int, input().split()))

input()
count()
print(total)
