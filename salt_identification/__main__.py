"`python -m salt_identification` is `saltid`."
import sys

from salt_identification.cli import main

if __name__ == '__main__': sys.exit(main())
