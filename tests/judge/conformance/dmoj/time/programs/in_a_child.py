# expect: RTE RTE
# fixed: TLE TLE
import os
pid = os.fork()
if pid == 0:
    while True: pass
os.waitpid(pid, 0)
print(1)
