# expect: RTE RTE
# fixed: AC AC
import signal
signal.alarm(60)
print(input())
