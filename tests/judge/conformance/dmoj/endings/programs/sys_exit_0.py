# expect: AC
import sys
print(1)
sys.exit(0)
