"""
`process_messages`: rules that each message of a receiver goes through before the router.

Where what is: `tokens`, `token_stream`, `scope` (what names stand for) and `parser` read conditions, whose
parts are `nodes`. What those do: `operations` and `combining` (operators), `functions`, `loops` (functions
with a predicate), `links` (keys, parts and methods), `moments` (times), `names` (what belongs to the
message). `expression` has the condition as a whole, `subject` the message as rules see it, `rules` the
stages, `sink` is where messages pass.
"""
