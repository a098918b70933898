# expect: AC
import os, sys
assert sys.stdin.buffer.read() == b"1\n"
os.lseek(0, 0, 0)
assert open(0).read() == "1\n"
print(1)
