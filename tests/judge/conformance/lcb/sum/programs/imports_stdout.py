# expect: WA Wrong Answer
# fixed: AC Passed
from sys import stdout
input()
stdout.write("%d\n" % sum(map(int, input().split())))
