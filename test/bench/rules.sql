-- The four rules that messages of a chat have.
SELECT chatroom.add_rule('rules.messages', 'username', 'required'),
	chatroom.add_rule('rules.messages', 'username', 'length',
		'{"min": 4, "max": 20}'),
	chatroom.add_rule('rules.messages', 'text', 'required'),
	chatroom.add_rule('rules.messages', 'text', 'length',
		'{"min": 2, "max": 150}')
\g /dev/null
