"""
`process_messages`: rules that each message of a receiver goes through before the router.

Where what is: `tokens` and `expression` read conditions, `operations` has what their operators mean, `names`
what they can name, `subject` the message as rules see it, `rules` the stages, `sink` where messages pass.
"""
