# expect: RTE Runtime Error
# fixed: AC Passed
import sys
input()
sys.stdout.buffer.write(b"%d\n" % sum(map(int, input().split())))
