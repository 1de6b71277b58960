# Runs test modules of CPython and appends a line for each test to a file: OUTCOME, a tab, the test's name, a tab, its error's last line.
# Usage: cpython.py RESULTS MODULE
import sys
import unittest

from test import support
from test.support import os_helper

results, module = sys.argv[1:]


class Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.outcome, self.note = 'ok', ''

    def say(self, test, outcome, note=''):
        with open(results, 'a') as file:
            file.write(f'{outcome}\t{test.id()}\t{note}\n')

    def stopTest(self, test):
        super().stopTest(test)
        self.say(test, self.outcome, self.note)

    def failed(self, test, error):
        note = repr(error[1]).replace('\t', ' ')[:300]
        # Not of a test: the set-up of a class or a module.
        if not isinstance(test, unittest.TestCase):
            self.say(test, 'failed', note)
        self.outcome, self.note = 'failed', note

    def addError(self, test, error):
        self.failed(test, error)

    def addFailure(self, test, error):
        self.failed(test, error)

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.failed(test, error)

    def addSkip(self, test, reason):
        self.outcome = 'skipped'

    def addExpectedFailure(self, test, error):
        self.outcome = 'skipped'


# What needs a network, much time or much memory is asked for by name (regrtest's -u).
support.use_resources = []
with os_helper.temp_cwd():
    unittest.defaultTestLoader.loadTestsFromName(module).run(Result())
with open(results, 'a') as file:
    file.write('end\t\t\n')
