"""What parsedmarc reads in TLS reports; for a Python that has parsedmarc.

report_readings.py FILE ...: prints a line of JSON for each file, a message or a compressed report.
"""

import json
import sys

import parsedmarc

for file in sys.argv[1:]:
    read = parsedmarc.parse_report_file(file, offline=True)
    print(json.dumps({"type": read["report_type"], "report": read["report"]}, default=str))
