"""Letters: approved words (``templates``), and how a page looks (``page``).

Belongs here: text and layout of what is printed. Does not belong here: delivery to the print vendor
(``connectors.destinations.sftp_letters``).
"""
