# expect: RTE IR
import sys
print(1)
sys.exit(2)
