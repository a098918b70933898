# expect: WA
# tests: AC WA AC WA WA AC WA AC AC WA AC WA WA AC WA AC WA WA
import sys
sys.stdout.write(sys.stdin.read())
