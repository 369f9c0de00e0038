# SPDX-License-Identifier: MIT
"""Run inside gdb: steps through the first switches one instruction after the
other, and looks at each whether the callers are known. Prints "unwound", or
where they are not."""

import gdb


def names():
    """The functions on the stack, from the innermost outwards."""
    frame = gdb.newest_frame()
    found = []
    while frame and len(found) < 20:
        found.append(frame.name())
        frame = frame.older()
    return found


def check(most):
    """Steps until MOST instructions of the switch were seen."""
    seen = 0
    while seen < most:
        found = names()
        if found[0] == 'nr_switch':
            seen += 1
            # Before the stacks change it is the thread's, else the context's.
            if found[-1] not in ('main', 'start') or len(found) > 10:
                print(f'at {gdb.newest_frame().pc():#x}: {found}')
                return
            gdb.execute('stepi', to_string=True)
        else:
            gdb.execute('continue', to_string=True)
    print('unwound')


gdb.execute('set pagination off')
gdb.execute('break nr_switch', to_string=True)
gdb.execute('run', to_string=True)
check(200)
