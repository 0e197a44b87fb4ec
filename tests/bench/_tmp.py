import asyncio,tempfile,pathlib,sys
from tests.bench import slack, discord
M={**slack.MEASUREMENTS,**discord.MEASUREMENTS}
for n in sys.argv[1:]:
    with tempfile.TemporaryDirectory() as f: asyncio.run(M[n](pathlib.Path(f)))
