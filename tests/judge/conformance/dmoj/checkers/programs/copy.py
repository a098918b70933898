# expect: WA
# tests: AC AC WA WA WA AC WA AC AC WA WA WA WA WA AC WA WA WA
import sys
sys.stdout.write(sys.stdin.read())
