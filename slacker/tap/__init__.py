"""What twistd runs: ``slacker`` (``slacker.tap.server``), ``slacker-zookeeper`` (``slacker.tap.zookeeper``).

Whatever is wrong with the command line or at the start ends in one line on standard error and exit status 1.
"""
