"""Short and pet forms of English given names.

Belongs here: which formal names a short form may stand for. A short form may stand for several (Chris,
Pat, Alex), which is why it maps to a list and two names agree when their lists overlap: Christopher and
Christine both agree with Chris and not with each other. Does not belong here: spelling mistakes; the
comparison finds those.
"""

from __future__ import annotations

_FORMS = """
abby: abigail
al: albert alan alfred allen
alex: alexander alexandra alexis
alf: alfred
andy: andrew
angie: angela
ann: anna anne annette
annie: anna anne
art: arthur
barb: barbara
becky: rebecca
ben: benjamin benedict
bernie: bernard bernadette
bert: albert robert herbert
beth: elizabeth bethany
betty: elizabeth
bill: william
billy: william
bob: robert
bobby: robert
brad: bradley
cathy: catherine
charlie: charles charlotte
chris: christopher christine christina christian
chuck: charles
cindy: cynthia
connie: constance
dan: daniel
danny: daniel
dave: david
deb: deborah debra
debbie: deborah debra
dick: richard
don: donald
doug: douglas
ed: edward edwin edgar edmund
eddie: edward edwin
ella: eleanor
ellie: eleanor
emma: emily
eric: frederick
fran: frances francis francisco
frank: francis franklin francisco
fred: frederick alfred
gabe: gabriel
gene: eugene
gerry: gerald gerard
ginny: virginia
greg: gregory
gus: august angus
hal: harold henry
hank: henry
harry: harold henry harrison
jack: john jackson
jake: jacob
jamie: james
jan: janet janice
jeff: jeffrey geoffrey
jen: jennifer
jenny: jennifer
jerry: gerald jerome jeremiah
jess: jessica
jessie: jessica
jim: james
jimmy: james
joe: joseph
joey: joseph
johnny: john
jon: jonathan john
josh: joshua
judy: judith
kate: katherine catherine kathleen
kathy: katherine catherine kathleen
katie: katherine catherine
ken: kenneth
kim: kimberly
larry: lawrence laurence
lenny: leonard
leo: leonard
les: leslie lester
lew: lewis louis
liz: elizabeth
lou: louis louise
lucy: lucille
luke: lucas
maggie: margaret
mandy: amanda
marge: margaret marjorie
matt: matthew
max: maxwell maximilian
meg: margaret megan
mel: melanie melvin melissa
mick: michael
mike: michael
mindy: melinda
missy: melissa
mitch: mitchell
molly: mary margaret
nancy: ann
nat: nathan nathaniel natalie
nate: nathan nathaniel
ned: edward
nick: nicholas
nicky: nicholas nicole
pam: pamela
pat: patrick patricia
patty: patricia
peg: margaret
peggy: margaret
pete: peter
phil: philip phillip
polly: mary
randy: randall randolph
ray: raymond
reg: reginald
rich: richard
rick: richard eric frederick
rob: robert
robbie: robert
ron: ronald
ronnie: ronald veronica
rosie: rose rosemary
russ: russell
sally: sarah
sam: samuel samantha
sandy: sandra alexander
shelly: michelle
sherry: cheryl
stan: stanley
steph: stephanie
steve: steven stephen
stu: stuart
sue: susan suzanne
susie: susan suzanne
ted: theodore edward
teddy: theodore edward
terri: theresa teresa
terry: terrence theresa teresa
tess: theresa teresa
theo: theodore
tim: timothy
tina: christina martina
toby: tobias
tom: thomas
tommy: thomas
toni: antonia
tony: anthony antonio
tracy: teresa
trish: patricia
val: valerie valentine
vicky: victoria
vince: vincent
walt: walter
wes: wesley
will: william
willy: william
zach: zachary
"""


def formal_names() -> dict[str, list[str]]:
    """Each short form with the formal names it may stand for, all in lower case."""
    pairs = (line.split(":") for line in _FORMS.strip().splitlines())
    return {short.strip(): formal.split() for short, formal in pairs}
